// Original file: proto/kindred/v1/adapter.proto

import type { Long } from '@grpc/proto-loader';

export interface AdapterSpec {
  'kind'?: (string);
  'rank'?: (number);
  'alpha'?: (number | string);
  'modules'?: (string)[];
  'dropout'?: (number | string);
  'initSeed'?: (number | string | Long);
  'freezeA'?: (boolean);
  'rslora'?: (boolean);
  'reduction'?: (number | string);
  'activation'?: (string);
}

export interface AdapterSpec__Output {
  'kind': (string);
  'rank': (number);
  'alpha': (number);
  'modules': (string)[];
  'dropout': (number);
  'initSeed': (string);
  'freezeA': (boolean);
  'rslora': (boolean);
  'reduction': (number);
  'activation': (string);
}
