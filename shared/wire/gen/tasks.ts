import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from './kindred/v1/BlobRef.js';
import type { Cost as _kindred_v1_Cost, Cost__Output as _kindred_v1_Cost__Output } from './kindred/v1/Cost.js';
import type { NextTaskReply as _kindred_v1_NextTaskReply, NextTaskReply__Output as _kindred_v1_NextTaskReply__Output } from './kindred/v1/NextTaskReply.js';
import type { NextTaskRequest as _kindred_v1_NextTaskRequest, NextTaskRequest__Output as _kindred_v1_NextTaskRequest__Output } from './kindred/v1/NextTaskRequest.js';
import type { NoTask as _kindred_v1_NoTask, NoTask__Output as _kindred_v1_NoTask__Output } from './kindred/v1/NoTask.js';
import type { RowCounts as _kindred_v1_RowCounts, RowCounts__Output as _kindred_v1_RowCounts__Output } from './kindred/v1/RowCounts.js';
import type { RunOver as _kindred_v1_RunOver, RunOver__Output as _kindred_v1_RunOver__Output } from './kindred/v1/RunOver.js';
import type { Task as _kindred_v1_Task, Task__Output as _kindred_v1_Task__Output } from './kindred/v1/Task.js';
import type { TaskFailure as _kindred_v1_TaskFailure, TaskFailure__Output as _kindred_v1_TaskFailure__Output } from './kindred/v1/TaskFailure.js';
import type { TaskProgress as _kindred_v1_TaskProgress, TaskProgress__Output as _kindred_v1_TaskProgress__Output } from './kindred/v1/TaskProgress.js';
import type { TaskProgressReply as _kindred_v1_TaskProgressReply, TaskProgressReply__Output as _kindred_v1_TaskProgressReply__Output } from './kindred/v1/TaskProgressReply.js';
import type { TaskReceipt as _kindred_v1_TaskReceipt, TaskReceipt__Output as _kindred_v1_TaskReceipt__Output } from './kindred/v1/TaskReceipt.js';
import type { TaskResult as _kindred_v1_TaskResult, TaskResult__Output as _kindred_v1_TaskResult__Output } from './kindred/v1/TaskResult.js';
import type { TasksClient as _kindred_v1_TasksClient, TasksDefinition as _kindred_v1_TasksDefinition } from './kindred/v1/Tasks.js';
import type { Transport as _kindred_v1_Transport, Transport__Output as _kindred_v1_Transport__Output } from './kindred/v1/Transport.js';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  kindred: {
    v1: {
      BlobRef: MessageTypeDefinition<_kindred_v1_BlobRef, _kindred_v1_BlobRef__Output>
      Cost: MessageTypeDefinition<_kindred_v1_Cost, _kindred_v1_Cost__Output>
      NextTaskReply: MessageTypeDefinition<_kindred_v1_NextTaskReply, _kindred_v1_NextTaskReply__Output>
      NextTaskRequest: MessageTypeDefinition<_kindred_v1_NextTaskRequest, _kindred_v1_NextTaskRequest__Output>
      NoTask: MessageTypeDefinition<_kindred_v1_NoTask, _kindred_v1_NoTask__Output>
      RowCounts: MessageTypeDefinition<_kindred_v1_RowCounts, _kindred_v1_RowCounts__Output>
      RunOver: MessageTypeDefinition<_kindred_v1_RunOver, _kindred_v1_RunOver__Output>
      Split: EnumTypeDefinition
      Task: MessageTypeDefinition<_kindred_v1_Task, _kindred_v1_Task__Output>
      TaskFailure: MessageTypeDefinition<_kindred_v1_TaskFailure, _kindred_v1_TaskFailure__Output>
      TaskProgress: MessageTypeDefinition<_kindred_v1_TaskProgress, _kindred_v1_TaskProgress__Output>
      TaskProgressReply: MessageTypeDefinition<_kindred_v1_TaskProgressReply, _kindred_v1_TaskProgressReply__Output>
      TaskReceipt: MessageTypeDefinition<_kindred_v1_TaskReceipt, _kindred_v1_TaskReceipt__Output>
      TaskResult: MessageTypeDefinition<_kindred_v1_TaskResult, _kindred_v1_TaskResult__Output>
      Tasks: SubtypeConstructor<typeof grpc.Client, _kindred_v1_TasksClient> & { service: _kindred_v1_TasksDefinition }
      Transport: MessageTypeDefinition<_kindred_v1_Transport, _kindred_v1_Transport__Output>
    }
  }
}

