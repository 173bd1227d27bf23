// Original file: proto/kindred/v1/work.proto

import type { Long } from '@grpc/proto-loader';

export interface ValidationPoint {
  'step'?: (number);
  'nllSum'?: (number | string);
  'tokens'?: (number | string | Long);
}

export interface ValidationPoint__Output {
  'step': (number);
  'nllSum': (number);
  'tokens': (string);
}
