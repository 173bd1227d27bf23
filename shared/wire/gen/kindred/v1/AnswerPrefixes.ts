// Original file: proto/kindred/v1/answers.proto


export interface AnswerPrefixes {
  'lengths'?: (number)[];
  'tokens'?: (number)[];
}

export interface AnswerPrefixes__Output {
  'lengths': (number)[];
  'tokens': (number)[];
}
