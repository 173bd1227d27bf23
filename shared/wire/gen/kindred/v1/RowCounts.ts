// Original file: proto/kindred/v1/common.proto


export interface RowCounts {
  'train'?: (number);
  'validation'?: (number);
  'test'?: (number);
}

export interface RowCounts__Output {
  'train': (number);
  'validation': (number);
  'test': (number);
}
