// Original file: proto/kindred/v1/work.proto

import type { Long } from '@grpc/proto-loader';

export interface TrainingSpec {
  'learningRate'?: (number | string);
  'weightDecay'?: (number | string);
  'warmupSteps'?: (number);
  'totalSteps'?: (number);
  'firstStep'?: (number);
  'steps'?: (number);
  'batch'?: (number);
  'clipNorm'?: (number | string);
  'seed'?: (number | string | Long);
}

export interface TrainingSpec__Output {
  'learningRate': (number);
  'weightDecay': (number);
  'warmupSteps': (number);
  'totalSteps': (number);
  'firstStep': (number);
  'steps': (number);
  'batch': (number);
  'clipNorm': (number);
  'seed': (string);
}
