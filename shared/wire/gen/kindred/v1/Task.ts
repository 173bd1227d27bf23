// Original file: proto/kindred/v1/tasks.proto


export interface Task {
  'taskId'?: (string);
  'kind'?: (string);
  'body'?: (Buffer | Uint8Array | string);
}

export interface Task__Output {
  'taskId': (string);
  'kind': (string);
  'body': (Buffer);
}
