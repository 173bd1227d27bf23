// Original file: proto/kindred/v1/blobs.proto

import type { Long } from '@grpc/proto-loader';

export interface UploadStatusReply {
  'held'?: (number | string | Long);
  'complete'?: (boolean);
}

export interface UploadStatusReply__Output {
  'held': (string);
  'complete': (boolean);
}
