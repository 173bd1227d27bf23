// Original file: proto/kindred/v1/work.proto

import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from '../../kindred/v1/BlobRef.js';
import type { ValidationPoint as _kindred_v1_ValidationPoint, ValidationPoint__Output as _kindred_v1_ValidationPoint__Output } from '../../kindred/v1/ValidationPoint.js';

export interface TrainResult {
  'values'?: (_kindred_v1_BlobRef | null);
  'losses'?: (number | string)[];
  'examples'?: (number);
  'bestStep'?: (number);
  'validation'?: (_kindred_v1_ValidationPoint)[];
  '_bestStep'?: "bestStep";
}

export interface TrainResult__Output {
  'values': (_kindred_v1_BlobRef__Output | null);
  'losses': (number)[];
  'examples': (number);
  'bestStep'?: (number);
  'validation': (_kindred_v1_ValidationPoint__Output)[];
  '_bestStep'?: "bestStep";
}
