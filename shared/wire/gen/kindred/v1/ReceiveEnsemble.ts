// Original file: proto/kindred/v1/work.proto

import type { AdapterSpec as _kindred_v1_AdapterSpec, AdapterSpec__Output as _kindred_v1_AdapterSpec__Output } from '../../kindred/v1/AdapterSpec.js';
import type { EnsembleMember as _kindred_v1_EnsembleMember, EnsembleMember__Output as _kindred_v1_EnsembleMember__Output } from '../../kindred/v1/EnsembleMember.js';

export interface ReceiveEnsemble {
  'adapter'?: (_kindred_v1_AdapterSpec | null);
  'members'?: (_kindred_v1_EnsembleMember)[];
}

export interface ReceiveEnsemble__Output {
  'adapter': (_kindred_v1_AdapterSpec__Output | null);
  'members': (_kindred_v1_EnsembleMember__Output)[];
}
