// Original file: proto/kindred/v1/tasks.proto

import type { Cost as _kindred_v1_Cost, Cost__Output as _kindred_v1_Cost__Output } from '../../kindred/v1/Cost.js';

export interface TaskResult {
  'taskId'?: (string);
  'cost'?: (_kindred_v1_Cost | null);
  'kind'?: (string);
  'body'?: (Buffer | Uint8Array | string);
  'transforms'?: (string)[];
}

export interface TaskResult__Output {
  'taskId': (string);
  'cost': (_kindred_v1_Cost__Output | null);
  'kind': (string);
  'body': (Buffer);
  'transforms': (string)[];
}
