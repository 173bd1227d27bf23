// Original file: proto/kindred/v1/work.proto

import type { Long } from '@grpc/proto-loader';

export interface FitWeightsResult {
  'weights'?: (number | string)[];
  'tokens'?: (number | string | Long);
  'nllSums'?: (number | string)[];
}

export interface FitWeightsResult__Output {
  'weights': (number)[];
  'tokens': (string);
  'nllSums': (number)[];
}
