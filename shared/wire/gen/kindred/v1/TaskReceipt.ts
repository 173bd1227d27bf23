// Original file: proto/kindred/v1/tasks.proto


export interface TaskReceipt {
  'accepted'?: (boolean);
  'reason'?: (string);
}

export interface TaskReceipt__Output {
  'accepted': (boolean);
  'reason': (string);
}
