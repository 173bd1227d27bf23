// Original file: proto/kindred/v1/tasks.proto


export interface TaskProgress {
  'taskId'?: (string);
  'fraction'?: (number | string);
}

export interface TaskProgress__Output {
  'taskId': (string);
  'fraction': (number);
}
