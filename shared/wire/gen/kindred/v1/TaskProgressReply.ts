// Original file: proto/kindred/v1/tasks.proto


export interface TaskProgressReply {
  'wanted'?: (boolean);
}

export interface TaskProgressReply__Output {
  'wanted': (boolean);
}
