// Original file: proto/kindred/v1/work.proto

import type { Score as _kindred_v1_Score, Score__Output as _kindred_v1_Score__Output } from '../../kindred/v1/Score.js';

export interface EvaluateResult {
  'scores'?: (_kindred_v1_Score)[];
}

export interface EvaluateResult__Output {
  'scores': (_kindred_v1_Score__Output)[];
}
