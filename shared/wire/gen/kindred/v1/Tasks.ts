// Original file: proto/kindred/v1/tasks.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { NextTaskReply as _kindred_v1_NextTaskReply, NextTaskReply__Output as _kindred_v1_NextTaskReply__Output } from '../../kindred/v1/NextTaskReply.js';
import type { NextTaskRequest as _kindred_v1_NextTaskRequest, NextTaskRequest__Output as _kindred_v1_NextTaskRequest__Output } from '../../kindred/v1/NextTaskRequest.js';
import type { TaskFailure as _kindred_v1_TaskFailure, TaskFailure__Output as _kindred_v1_TaskFailure__Output } from '../../kindred/v1/TaskFailure.js';
import type { TaskProgress as _kindred_v1_TaskProgress, TaskProgress__Output as _kindred_v1_TaskProgress__Output } from '../../kindred/v1/TaskProgress.js';
import type { TaskProgressReply as _kindred_v1_TaskProgressReply, TaskProgressReply__Output as _kindred_v1_TaskProgressReply__Output } from '../../kindred/v1/TaskProgressReply.js';
import type { TaskReceipt as _kindred_v1_TaskReceipt, TaskReceipt__Output as _kindred_v1_TaskReceipt__Output } from '../../kindred/v1/TaskReceipt.js';
import type { TaskResult as _kindred_v1_TaskResult, TaskResult__Output as _kindred_v1_TaskResult__Output } from '../../kindred/v1/TaskResult.js';

export interface TasksClient extends grpc.Client {
  NextTask(argument: _kindred_v1_NextTaskRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_NextTaskReply__Output>): grpc.ClientUnaryCall;
  NextTask(argument: _kindred_v1_NextTaskRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_NextTaskReply__Output>): grpc.ClientUnaryCall;
  NextTask(argument: _kindred_v1_NextTaskRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_NextTaskReply__Output>): grpc.ClientUnaryCall;
  NextTask(argument: _kindred_v1_NextTaskRequest, callback: grpc.requestCallback<_kindred_v1_NextTaskReply__Output>): grpc.ClientUnaryCall;
  nextTask(argument: _kindred_v1_NextTaskRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_NextTaskReply__Output>): grpc.ClientUnaryCall;
  nextTask(argument: _kindred_v1_NextTaskRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_NextTaskReply__Output>): grpc.ClientUnaryCall;
  nextTask(argument: _kindred_v1_NextTaskRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_NextTaskReply__Output>): grpc.ClientUnaryCall;
  nextTask(argument: _kindred_v1_NextTaskRequest, callback: grpc.requestCallback<_kindred_v1_NextTaskReply__Output>): grpc.ClientUnaryCall;
  
  ReportFailure(argument: _kindred_v1_TaskFailure, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  ReportFailure(argument: _kindred_v1_TaskFailure, metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  ReportFailure(argument: _kindred_v1_TaskFailure, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  ReportFailure(argument: _kindred_v1_TaskFailure, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  reportFailure(argument: _kindred_v1_TaskFailure, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  reportFailure(argument: _kindred_v1_TaskFailure, metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  reportFailure(argument: _kindred_v1_TaskFailure, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  reportFailure(argument: _kindred_v1_TaskFailure, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  
  ReportProgress(argument: _kindred_v1_TaskProgress, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_TaskProgressReply__Output>): grpc.ClientUnaryCall;
  ReportProgress(argument: _kindred_v1_TaskProgress, metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_TaskProgressReply__Output>): grpc.ClientUnaryCall;
  ReportProgress(argument: _kindred_v1_TaskProgress, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_TaskProgressReply__Output>): grpc.ClientUnaryCall;
  ReportProgress(argument: _kindred_v1_TaskProgress, callback: grpc.requestCallback<_kindred_v1_TaskProgressReply__Output>): grpc.ClientUnaryCall;
  reportProgress(argument: _kindred_v1_TaskProgress, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_TaskProgressReply__Output>): grpc.ClientUnaryCall;
  reportProgress(argument: _kindred_v1_TaskProgress, metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_TaskProgressReply__Output>): grpc.ClientUnaryCall;
  reportProgress(argument: _kindred_v1_TaskProgress, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_TaskProgressReply__Output>): grpc.ClientUnaryCall;
  reportProgress(argument: _kindred_v1_TaskProgress, callback: grpc.requestCallback<_kindred_v1_TaskProgressReply__Output>): grpc.ClientUnaryCall;
  
  ReportResult(argument: _kindred_v1_TaskResult, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  ReportResult(argument: _kindred_v1_TaskResult, metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  ReportResult(argument: _kindred_v1_TaskResult, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  ReportResult(argument: _kindred_v1_TaskResult, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  reportResult(argument: _kindred_v1_TaskResult, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  reportResult(argument: _kindred_v1_TaskResult, metadata: grpc.Metadata, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  reportResult(argument: _kindred_v1_TaskResult, options: grpc.CallOptions, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  reportResult(argument: _kindred_v1_TaskResult, callback: grpc.requestCallback<_kindred_v1_TaskReceipt__Output>): grpc.ClientUnaryCall;
  
}

export interface TasksHandlers extends grpc.UntypedServiceImplementation {
  NextTask: grpc.handleUnaryCall<_kindred_v1_NextTaskRequest__Output, _kindred_v1_NextTaskReply>;
  
  ReportFailure: grpc.handleUnaryCall<_kindred_v1_TaskFailure__Output, _kindred_v1_TaskReceipt>;
  
  ReportProgress: grpc.handleUnaryCall<_kindred_v1_TaskProgress__Output, _kindred_v1_TaskProgressReply>;
  
  ReportResult: grpc.handleUnaryCall<_kindred_v1_TaskResult__Output, _kindred_v1_TaskReceipt>;
  
}

export interface TasksDefinition extends grpc.ServiceDefinition {
  NextTask: MethodDefinition<_kindred_v1_NextTaskRequest, _kindred_v1_NextTaskReply, _kindred_v1_NextTaskRequest__Output, _kindred_v1_NextTaskReply__Output>
  ReportFailure: MethodDefinition<_kindred_v1_TaskFailure, _kindred_v1_TaskReceipt, _kindred_v1_TaskFailure__Output, _kindred_v1_TaskReceipt__Output>
  ReportProgress: MethodDefinition<_kindred_v1_TaskProgress, _kindred_v1_TaskProgressReply, _kindred_v1_TaskProgress__Output, _kindred_v1_TaskProgressReply__Output>
  ReportResult: MethodDefinition<_kindred_v1_TaskResult, _kindred_v1_TaskReceipt, _kindred_v1_TaskResult__Output, _kindred_v1_TaskReceipt__Output>
}
