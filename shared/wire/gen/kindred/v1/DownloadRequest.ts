// Original file: proto/kindred/v1/blobs.proto

import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from '../../kindred/v1/BlobRef.js';
import type { Long } from '@grpc/proto-loader';

export interface DownloadRequest {
  'taskId'?: (string);
  'blob'?: (_kindred_v1_BlobRef | null);
  'offset'?: (number | string | Long);
}

export interface DownloadRequest__Output {
  'taskId': (string);
  'blob': (_kindred_v1_BlobRef__Output | null);
  'offset': (string);
}
