// Original file: proto/kindred/v1/tasks.proto


export interface TaskFailure {
  'taskId'?: (string);
  'code'?: (string);
  'message'?: (string);
}

export interface TaskFailure__Output {
  'taskId': (string);
  'code': (string);
  'message': (string);
}
