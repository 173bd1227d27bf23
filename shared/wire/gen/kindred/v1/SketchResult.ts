// Original file: proto/kindred/v1/work.proto

import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from '../../kindred/v1/BlobRef.js';

export interface SketchResult {
  'rows'?: (_kindred_v1_BlobRef | null);
  'trainExamples'?: (number);
}

export interface SketchResult__Output {
  'rows': (_kindred_v1_BlobRef__Output | null);
  'trainExamples': (number);
}
