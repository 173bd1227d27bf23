// Original file: proto/kindred/v1/common.proto

import type { Long } from '@grpc/proto-loader';

export interface Cost {
  'flops'?: (number | string);
  'computeSeconds'?: (number | string);
  'peakRssBytes'?: (number | string | Long);
}

export interface Cost__Output {
  'flops': (number);
  'computeSeconds': (number);
  'peakRssBytes': (string);
}
