// Original file: proto/kindred/v1/adapter.proto

import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from '../../kindred/v1/BlobRef.js';

export interface WeightedAdapter {
  'adapter'?: (_kindred_v1_BlobRef | null);
  'weight'?: (number | string);
}

export interface WeightedAdapter__Output {
  'adapter': (_kindred_v1_BlobRef__Output | null);
  'weight': (number);
}
