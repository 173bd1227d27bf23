// Original file: proto/kindred/v1/tasks.proto


export interface NextTaskRequest {
  'waitMs'?: (number);
}

export interface NextTaskRequest__Output {
  'waitMs': (number);
}
