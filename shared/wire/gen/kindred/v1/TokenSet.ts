// Original file: proto/kindred/v1/work.proto


export interface TokenSet {
  'tokens'?: (number)[];
}

export interface TokenSet__Output {
  'tokens': (number)[];
}
