// Original file: proto/kindred/v1/work.proto

import type { AdapterSpec as _kindred_v1_AdapterSpec, AdapterSpec__Output as _kindred_v1_AdapterSpec__Output } from '../../kindred/v1/AdapterSpec.js';
import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from '../../kindred/v1/BlobRef.js';
import type { WeightedAdapter as _kindred_v1_WeightedAdapter, WeightedAdapter__Output as _kindred_v1_WeightedAdapter__Output } from '../../kindred/v1/WeightedAdapter.js';
import type { TrainingSpec as _kindred_v1_TrainingSpec, TrainingSpec__Output as _kindred_v1_TrainingSpec__Output } from '../../kindred/v1/TrainingSpec.js';

export interface TrainAdapter {
  'adapter'?: (_kindred_v1_AdapterSpec | null);
  'start'?: (_kindred_v1_BlobRef | null);
  'offset'?: (_kindred_v1_WeightedAdapter)[];
  'training'?: (_kindred_v1_TrainingSpec | null);
  'validateEvery'?: (number);
  'validateStart'?: (boolean);
}

export interface TrainAdapter__Output {
  'adapter': (_kindred_v1_AdapterSpec__Output | null);
  'start': (_kindred_v1_BlobRef__Output | null);
  'offset': (_kindred_v1_WeightedAdapter__Output)[];
  'training': (_kindred_v1_TrainingSpec__Output | null);
  'validateEvery': (number);
  'validateStart': (boolean);
}
