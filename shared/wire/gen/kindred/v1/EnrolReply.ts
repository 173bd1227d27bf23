// Original file: proto/kindred/v1/enrolment.proto


export interface EnrolReply {
  'sessionToken'?: (string);
  'protocolVersion'?: (number);
  'heartbeatMs'?: (number);
  'longestWaitMs'?: (number);
}

export interface EnrolReply__Output {
  'sessionToken': (string);
  'protocolVersion': (number);
  'heartbeatMs': (number);
  'longestWaitMs': (number);
}
