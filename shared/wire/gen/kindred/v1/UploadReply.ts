// Original file: proto/kindred/v1/blobs.proto

import type { Long } from '@grpc/proto-loader';

export interface UploadReply {
  'size'?: (number | string | Long);
}

export interface UploadReply__Output {
  'size': (string);
}
