// Original file: proto/kindred/v1/work.proto

import type { Long } from '@grpc/proto-loader';

export interface Score {
  'nllSum'?: (number | string);
  'tokens'?: (number | string | Long);
  'correct'?: (number);
  'choiceRows'?: (number);
  'examples'?: (number);
  'macroF1'?: (number | string);
  '_macroF1'?: "macroF1";
}

export interface Score__Output {
  'nllSum': (number);
  'tokens': (string);
  'correct': (number);
  'choiceRows': (number);
  'examples': (number);
  'macroF1'?: (number);
  '_macroF1'?: "macroF1";
}
