// Original file: proto/kindred/v1/tasks.proto


export interface RunOver {
  'finished'?: (boolean);
  'reason'?: (string);
}

export interface RunOver__Output {
  'finished': (boolean);
  'reason': (string);
}
