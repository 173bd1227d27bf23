// Original file: proto/kindred/v1/work.proto

import type { AdapterSpec as _kindred_v1_AdapterSpec, AdapterSpec__Output as _kindred_v1_AdapterSpec__Output } from '../../kindred/v1/AdapterSpec.js';
import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from '../../kindred/v1/BlobRef.js';

export interface FitWeights {
  'adapter'?: (_kindred_v1_AdapterSpec | null);
  'members'?: (_kindred_v1_BlobRef)[];
  'prior'?: (number | string)[];
  'strength'?: (number | string);
}

export interface FitWeights__Output {
  'adapter': (_kindred_v1_AdapterSpec__Output | null);
  'members': (_kindred_v1_BlobRef__Output)[];
  'prior': (number)[];
  'strength': (number);
}
