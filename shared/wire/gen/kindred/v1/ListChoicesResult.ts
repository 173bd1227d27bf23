// Original file: proto/kindred/v1/work.proto

import type { AnswerPrefixes as _kindred_v1_AnswerPrefixes, AnswerPrefixes__Output as _kindred_v1_AnswerPrefixes__Output } from '../../kindred/v1/AnswerPrefixes.js';

export interface ListChoicesResult {
  'answerPrefixes'?: (_kindred_v1_AnswerPrefixes | null);
}

export interface ListChoicesResult__Output {
  'answerPrefixes': (_kindred_v1_AnswerPrefixes__Output | null);
}
