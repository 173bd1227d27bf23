// Original file: proto/kindred/v1/work.proto


export interface ListChoicesResult {
  'tokens'?: (number)[];
}

export interface ListChoicesResult__Output {
  'tokens': (number)[];
}
