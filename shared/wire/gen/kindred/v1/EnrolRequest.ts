// Original file: proto/kindred/v1/enrolment.proto

import type { RowCounts as _kindred_v1_RowCounts, RowCounts__Output as _kindred_v1_RowCounts__Output } from '../../kindred/v1/RowCounts.js';

export interface EnrolRequest {
  'protocolVersion'?: (number);
  'clientName'?: (string);
  'instanceId'?: (string);
  'modelHash'?: (string);
  'rows'?: (_kindred_v1_RowCounts | null);
  'transforms'?: (string)[];
  'tokenizerHash'?: (string);
  'chatTemplateHash'?: (string);
  'quantization'?: (string);
  'endOfFreeAnswers'?: (string);
  'endOfOtherRows'?: (string);
}

export interface EnrolRequest__Output {
  'protocolVersion': (number);
  'clientName': (string);
  'instanceId': (string);
  'modelHash': (string);
  'rows': (_kindred_v1_RowCounts__Output | null);
  'transforms': (string)[];
  'tokenizerHash': (string);
  'chatTemplateHash': (string);
  'quantization': (string);
  'endOfFreeAnswers': (string);
  'endOfOtherRows': (string);
}
