// Original file: proto/kindred/v1/work.proto

import type { AdapterSpec as _kindred_v1_AdapterSpec, AdapterSpec__Output as _kindred_v1_AdapterSpec__Output } from '../../kindred/v1/AdapterSpec.js';
import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from '../../kindred/v1/BlobRef.js';
import type { Beginnings as _kindred_v1_Beginnings, Beginnings__Output as _kindred_v1_Beginnings__Output } from '../../kindred/v1/Beginnings.js';
import type { Long } from '@grpc/proto-loader';

export interface SketchGradients {
  'adapter'?: (_kindred_v1_AdapterSpec | null);
  'start'?: (_kindred_v1_BlobRef | null);
  'dim'?: (number);
  'seed'?: (number | string | Long);
  'examplesLimit'?: (number);
  'rivals'?: (number);
  'foreign'?: (_kindred_v1_Beginnings)[];
  'foreignLimit'?: (number);
  'labels'?: (boolean);
  'projections'?: (number);
}

export interface SketchGradients__Output {
  'adapter': (_kindred_v1_AdapterSpec__Output | null);
  'start': (_kindred_v1_BlobRef__Output | null);
  'dim': (number);
  'seed': (string);
  'examplesLimit': (number);
  'rivals': (number);
  'foreign': (_kindred_v1_Beginnings__Output)[];
  'foreignLimit': (number);
  'labels': (boolean);
  'projections': (number);
}
