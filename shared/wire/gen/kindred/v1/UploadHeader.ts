// Original file: proto/kindred/v1/blobs.proto

import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from '../../kindred/v1/BlobRef.js';

export interface UploadHeader {
  'taskId'?: (string);
  'blob'?: (_kindred_v1_BlobRef | null);
}

export interface UploadHeader__Output {
  'taskId': (string);
  'blob': (_kindred_v1_BlobRef__Output | null);
}
