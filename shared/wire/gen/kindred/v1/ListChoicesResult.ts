// Original file: proto/kindred/v1/work.proto

import type { Beginnings as _kindred_v1_Beginnings, Beginnings__Output as _kindred_v1_Beginnings__Output } from '../../kindred/v1/Beginnings.js';

export interface ListChoicesResult {
  'beginnings'?: (_kindred_v1_Beginnings | null);
}

export interface ListChoicesResult__Output {
  'beginnings': (_kindred_v1_Beginnings__Output | null);
}
