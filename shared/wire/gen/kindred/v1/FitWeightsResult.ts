// Original file: proto/kindred/v1/work.proto

import type { Score as _kindred_v1_Score, Score__Output as _kindred_v1_Score__Output } from '../../kindred/v1/Score.js';

export interface FitWeightsResult {
  'weights'?: (number | string)[];
  'before'?: (_kindred_v1_Score | null);
  'after'?: (_kindred_v1_Score | null);
}

export interface FitWeightsResult__Output {
  'weights': (number)[];
  'before': (_kindred_v1_Score__Output | null);
  'after': (_kindred_v1_Score__Output | null);
}
