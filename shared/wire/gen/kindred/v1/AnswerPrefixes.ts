// Original file: proto/kindred/v1/work.proto


export interface AnswerPrefixes {
  'lengths'?: (number)[];
  'tokens'?: (number)[];
}

export interface AnswerPrefixes__Output {
  'lengths': (number)[];
  'tokens': (number)[];
}
