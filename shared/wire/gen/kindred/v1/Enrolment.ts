// Original file: proto/kindred/v1/enrolment.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { EnrolReply as _kindred_v1_EnrolReply, EnrolReply__Output as _kindred_v1_EnrolReply__Output } from '../../kindred/v1/EnrolReply.js';
import type { EnrolRequest as _kindred_v1_EnrolRequest, EnrolRequest__Output as _kindred_v1_EnrolRequest__Output } from '../../kindred/v1/EnrolRequest.js';

export interface EnrolmentClient extends grpc.Client {
  Enrol(argument: _kindred_v1_EnrolRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  Enrol(argument: _kindred_v1_EnrolRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  Enrol(argument: _kindred_v1_EnrolRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  Enrol(argument: _kindred_v1_EnrolRequest, callback: grpc.requestCallback<_kindred_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  enrol(argument: _kindred_v1_EnrolRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  enrol(argument: _kindred_v1_EnrolRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  enrol(argument: _kindred_v1_EnrolRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  enrol(argument: _kindred_v1_EnrolRequest, callback: grpc.requestCallback<_kindred_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  
}

export interface EnrolmentHandlers extends grpc.UntypedServiceImplementation {
  Enrol: grpc.handleUnaryCall<_kindred_v1_EnrolRequest__Output, _kindred_v1_EnrolReply>;
  
}

export interface EnrolmentDefinition extends grpc.ServiceDefinition {
  Enrol: MethodDefinition<_kindred_v1_EnrolRequest, _kindred_v1_EnrolReply, _kindred_v1_EnrolRequest__Output, _kindred_v1_EnrolReply__Output>
}
