// Original file: proto/kindred/v1/work.proto

import type { AdapterSpec as _kindred_v1_AdapterSpec, AdapterSpec__Output as _kindred_v1_AdapterSpec__Output } from '../../kindred/v1/AdapterSpec.js';
import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from '../../kindred/v1/BlobRef.js';
import type { Mixture as _kindred_v1_Mixture, Mixture__Output as _kindred_v1_Mixture__Output } from '../../kindred/v1/Mixture.js';
import type { Split as _kindred_v1_Split, Split__Output as _kindred_v1_Split__Output } from '../../kindred/v1/Split.js';

export interface Evaluate {
  'adapter'?: (_kindred_v1_AdapterSpec | null);
  'members'?: (_kindred_v1_BlobRef)[];
  'mixtures'?: (_kindred_v1_Mixture)[];
  'split'?: (_kindred_v1_Split);
  'examplesLimit'?: (number);
}

export interface Evaluate__Output {
  'adapter': (_kindred_v1_AdapterSpec__Output | null);
  'members': (_kindred_v1_BlobRef__Output)[];
  'mixtures': (_kindred_v1_Mixture__Output)[];
  'split': (_kindred_v1_Split__Output);
  'examplesLimit': (number);
}
