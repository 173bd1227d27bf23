// Original file: proto/kindred/v1/work.proto

import type { AdapterSpec as _kindred_v1_AdapterSpec, AdapterSpec__Output as _kindred_v1_AdapterSpec__Output } from '../../kindred/v1/AdapterSpec.js';
import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from '../../kindred/v1/BlobRef.js';
import type { AnswerPrefixes as _kindred_v1_AnswerPrefixes, AnswerPrefixes__Output as _kindred_v1_AnswerPrefixes__Output } from '../../kindred/v1/AnswerPrefixes.js';
import type { Long } from '@grpc/proto-loader';

export interface SketchGradients {
  'adapter'?: (_kindred_v1_AdapterSpec | null);
  'start'?: (_kindred_v1_BlobRef | null);
  'dim'?: (number);
  'seed'?: (number | string | Long);
  'examplesLimit'?: (number);
  'negatives'?: (number);
  'otherClientAnswers'?: (_kindred_v1_AnswerPrefixes)[];
  'otherClientAnswersLimit'?: (number);
  'labels'?: (boolean);
  'projections'?: (number);
}

export interface SketchGradients__Output {
  'adapter': (_kindred_v1_AdapterSpec__Output | null);
  'start': (_kindred_v1_BlobRef__Output | null);
  'dim': (number);
  'seed': (string);
  'examplesLimit': (number);
  'negatives': (number);
  'otherClientAnswers': (_kindred_v1_AnswerPrefixes__Output)[];
  'otherClientAnswersLimit': (number);
  'labels': (boolean);
  'projections': (number);
}
