// Original file: proto/kindred/v1/work.proto


export interface Mixture {
  'weights'?: (number | string)[];
}

export interface Mixture__Output {
  'weights': (number)[];
}
