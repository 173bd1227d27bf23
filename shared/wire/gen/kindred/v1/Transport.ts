// Original file: proto/kindred/v1/tasks.proto


export interface Transport {
  'transforms'?: (string)[];
  'training'?: (string);
  'round'?: (number);
  'after'?: (number);
  '_after'?: "after";
}

export interface Transport__Output {
  'transforms': (string)[];
  'training': (string);
  'round': (number);
  'after'?: (number);
  '_after'?: "after";
}
