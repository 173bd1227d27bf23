// Original file: proto/kindred/v1/work.proto


export interface Beginnings {
  'lengths'?: (number)[];
  'tokens'?: (number)[];
}

export interface Beginnings__Output {
  'lengths': (number)[];
  'tokens': (number)[];
}
