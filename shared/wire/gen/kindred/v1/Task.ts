// Original file: proto/kindred/v1/tasks.proto

import type { Transport as _kindred_v1_Transport, Transport__Output as _kindred_v1_Transport__Output } from '../../kindred/v1/Transport.js';

export interface Task {
  'taskId'?: (string);
  'kind'?: (string);
  'body'?: (Buffer | Uint8Array | string);
  'transport'?: (_kindred_v1_Transport | null);
}

export interface Task__Output {
  'taskId': (string);
  'kind': (string);
  'body': (Buffer);
  'transport': (_kindred_v1_Transport__Output | null);
}
