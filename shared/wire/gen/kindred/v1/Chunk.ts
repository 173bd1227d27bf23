// Original file: proto/kindred/v1/blobs.proto

import type { Long } from '@grpc/proto-loader';

export interface Chunk {
  'offset'?: (number | string | Long);
  'data'?: (Buffer | Uint8Array | string);
  'crc32'?: (number);
}

export interface Chunk__Output {
  'offset': (string);
  'data': (Buffer);
  'crc32': (number);
}
