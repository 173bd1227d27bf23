// Original file: proto/kindred/v1/work.proto

import type { AdapterSpec as _kindred_v1_AdapterSpec, AdapterSpec__Output as _kindred_v1_AdapterSpec__Output } from '../../kindred/v1/AdapterSpec.js';

export interface ListChoices {
  'adapter'?: (_kindred_v1_AdapterSpec | null);
}

export interface ListChoices__Output {
  'adapter': (_kindred_v1_AdapterSpec__Output | null);
}
