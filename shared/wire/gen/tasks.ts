import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { AdapterSpec as _kindred_v1_AdapterSpec, AdapterSpec__Output as _kindred_v1_AdapterSpec__Output } from './kindred/v1/AdapterSpec.js';
import type { AnswerPrefixes as _kindred_v1_AnswerPrefixes, AnswerPrefixes__Output as _kindred_v1_AnswerPrefixes__Output } from './kindred/v1/AnswerPrefixes.js';
import type { BlobRef as _kindred_v1_BlobRef, BlobRef__Output as _kindred_v1_BlobRef__Output } from './kindred/v1/BlobRef.js';
import type { Cost as _kindred_v1_Cost, Cost__Output as _kindred_v1_Cost__Output } from './kindred/v1/Cost.js';
import type { EnsembleMember as _kindred_v1_EnsembleMember, EnsembleMember__Output as _kindred_v1_EnsembleMember__Output } from './kindred/v1/EnsembleMember.js';
import type { Evaluate as _kindred_v1_Evaluate, Evaluate__Output as _kindred_v1_Evaluate__Output } from './kindred/v1/Evaluate.js';
import type { EvaluateResult as _kindred_v1_EvaluateResult, EvaluateResult__Output as _kindred_v1_EvaluateResult__Output } from './kindred/v1/EvaluateResult.js';
import type { FitWeights as _kindred_v1_FitWeights, FitWeights__Output as _kindred_v1_FitWeights__Output } from './kindred/v1/FitWeights.js';
import type { FitWeightsResult as _kindred_v1_FitWeightsResult, FitWeightsResult__Output as _kindred_v1_FitWeightsResult__Output } from './kindred/v1/FitWeightsResult.js';
import type { ListChoices as _kindred_v1_ListChoices, ListChoices__Output as _kindred_v1_ListChoices__Output } from './kindred/v1/ListChoices.js';
import type { ListChoicesResult as _kindred_v1_ListChoicesResult, ListChoicesResult__Output as _kindred_v1_ListChoicesResult__Output } from './kindred/v1/ListChoicesResult.js';
import type { Mixture as _kindred_v1_Mixture, Mixture__Output as _kindred_v1_Mixture__Output } from './kindred/v1/Mixture.js';
import type { NextTaskReply as _kindred_v1_NextTaskReply, NextTaskReply__Output as _kindred_v1_NextTaskReply__Output } from './kindred/v1/NextTaskReply.js';
import type { NextTaskRequest as _kindred_v1_NextTaskRequest, NextTaskRequest__Output as _kindred_v1_NextTaskRequest__Output } from './kindred/v1/NextTaskRequest.js';
import type { NoTask as _kindred_v1_NoTask, NoTask__Output as _kindred_v1_NoTask__Output } from './kindred/v1/NoTask.js';
import type { ReceiveEnsemble as _kindred_v1_ReceiveEnsemble, ReceiveEnsemble__Output as _kindred_v1_ReceiveEnsemble__Output } from './kindred/v1/ReceiveEnsemble.js';
import type { ReceiveEnsembleResult as _kindred_v1_ReceiveEnsembleResult, ReceiveEnsembleResult__Output as _kindred_v1_ReceiveEnsembleResult__Output } from './kindred/v1/ReceiveEnsembleResult.js';
import type { RowCounts as _kindred_v1_RowCounts, RowCounts__Output as _kindred_v1_RowCounts__Output } from './kindred/v1/RowCounts.js';
import type { RunOver as _kindred_v1_RunOver, RunOver__Output as _kindred_v1_RunOver__Output } from './kindred/v1/RunOver.js';
import type { Score as _kindred_v1_Score, Score__Output as _kindred_v1_Score__Output } from './kindred/v1/Score.js';
import type { SketchGradients as _kindred_v1_SketchGradients, SketchGradients__Output as _kindred_v1_SketchGradients__Output } from './kindred/v1/SketchGradients.js';
import type { SketchResult as _kindred_v1_SketchResult, SketchResult__Output as _kindred_v1_SketchResult__Output } from './kindred/v1/SketchResult.js';
import type { Task as _kindred_v1_Task, Task__Output as _kindred_v1_Task__Output } from './kindred/v1/Task.js';
import type { TaskFailure as _kindred_v1_TaskFailure, TaskFailure__Output as _kindred_v1_TaskFailure__Output } from './kindred/v1/TaskFailure.js';
import type { TaskProgress as _kindred_v1_TaskProgress, TaskProgress__Output as _kindred_v1_TaskProgress__Output } from './kindred/v1/TaskProgress.js';
import type { TaskProgressReply as _kindred_v1_TaskProgressReply, TaskProgressReply__Output as _kindred_v1_TaskProgressReply__Output } from './kindred/v1/TaskProgressReply.js';
import type { TaskReceipt as _kindred_v1_TaskReceipt, TaskReceipt__Output as _kindred_v1_TaskReceipt__Output } from './kindred/v1/TaskReceipt.js';
import type { TaskResult as _kindred_v1_TaskResult, TaskResult__Output as _kindred_v1_TaskResult__Output } from './kindred/v1/TaskResult.js';
import type { TasksClient as _kindred_v1_TasksClient, TasksDefinition as _kindred_v1_TasksDefinition } from './kindred/v1/Tasks.js';
import type { TrainAdapter as _kindred_v1_TrainAdapter, TrainAdapter__Output as _kindred_v1_TrainAdapter__Output } from './kindred/v1/TrainAdapter.js';
import type { TrainResult as _kindred_v1_TrainResult, TrainResult__Output as _kindred_v1_TrainResult__Output } from './kindred/v1/TrainResult.js';
import type { TrainingSpec as _kindred_v1_TrainingSpec, TrainingSpec__Output as _kindred_v1_TrainingSpec__Output } from './kindred/v1/TrainingSpec.js';
import type { ValidationPoint as _kindred_v1_ValidationPoint, ValidationPoint__Output as _kindred_v1_ValidationPoint__Output } from './kindred/v1/ValidationPoint.js';
import type { WeightedAdapter as _kindred_v1_WeightedAdapter, WeightedAdapter__Output as _kindred_v1_WeightedAdapter__Output } from './kindred/v1/WeightedAdapter.js';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  kindred: {
    v1: {
      AdapterSpec: MessageTypeDefinition<_kindred_v1_AdapterSpec, _kindred_v1_AdapterSpec__Output>
      AnswerPrefixes: MessageTypeDefinition<_kindred_v1_AnswerPrefixes, _kindred_v1_AnswerPrefixes__Output>
      BlobRef: MessageTypeDefinition<_kindred_v1_BlobRef, _kindred_v1_BlobRef__Output>
      Cost: MessageTypeDefinition<_kindred_v1_Cost, _kindred_v1_Cost__Output>
      EnsembleMember: MessageTypeDefinition<_kindred_v1_EnsembleMember, _kindred_v1_EnsembleMember__Output>
      Evaluate: MessageTypeDefinition<_kindred_v1_Evaluate, _kindred_v1_Evaluate__Output>
      EvaluateResult: MessageTypeDefinition<_kindred_v1_EvaluateResult, _kindred_v1_EvaluateResult__Output>
      FitWeights: MessageTypeDefinition<_kindred_v1_FitWeights, _kindred_v1_FitWeights__Output>
      FitWeightsResult: MessageTypeDefinition<_kindred_v1_FitWeightsResult, _kindred_v1_FitWeightsResult__Output>
      ListChoices: MessageTypeDefinition<_kindred_v1_ListChoices, _kindred_v1_ListChoices__Output>
      ListChoicesResult: MessageTypeDefinition<_kindred_v1_ListChoicesResult, _kindred_v1_ListChoicesResult__Output>
      Mixture: MessageTypeDefinition<_kindred_v1_Mixture, _kindred_v1_Mixture__Output>
      NextTaskReply: MessageTypeDefinition<_kindred_v1_NextTaskReply, _kindred_v1_NextTaskReply__Output>
      NextTaskRequest: MessageTypeDefinition<_kindred_v1_NextTaskRequest, _kindred_v1_NextTaskRequest__Output>
      NoTask: MessageTypeDefinition<_kindred_v1_NoTask, _kindred_v1_NoTask__Output>
      ReceiveEnsemble: MessageTypeDefinition<_kindred_v1_ReceiveEnsemble, _kindred_v1_ReceiveEnsemble__Output>
      ReceiveEnsembleResult: MessageTypeDefinition<_kindred_v1_ReceiveEnsembleResult, _kindred_v1_ReceiveEnsembleResult__Output>
      RowCounts: MessageTypeDefinition<_kindred_v1_RowCounts, _kindred_v1_RowCounts__Output>
      RunOver: MessageTypeDefinition<_kindred_v1_RunOver, _kindred_v1_RunOver__Output>
      Score: MessageTypeDefinition<_kindred_v1_Score, _kindred_v1_Score__Output>
      SketchGradients: MessageTypeDefinition<_kindred_v1_SketchGradients, _kindred_v1_SketchGradients__Output>
      SketchResult: MessageTypeDefinition<_kindred_v1_SketchResult, _kindred_v1_SketchResult__Output>
      Split: EnumTypeDefinition
      Task: MessageTypeDefinition<_kindred_v1_Task, _kindred_v1_Task__Output>
      TaskFailure: MessageTypeDefinition<_kindred_v1_TaskFailure, _kindred_v1_TaskFailure__Output>
      TaskProgress: MessageTypeDefinition<_kindred_v1_TaskProgress, _kindred_v1_TaskProgress__Output>
      TaskProgressReply: MessageTypeDefinition<_kindred_v1_TaskProgressReply, _kindred_v1_TaskProgressReply__Output>
      TaskReceipt: MessageTypeDefinition<_kindred_v1_TaskReceipt, _kindred_v1_TaskReceipt__Output>
      TaskResult: MessageTypeDefinition<_kindred_v1_TaskResult, _kindred_v1_TaskResult__Output>
      Tasks: SubtypeConstructor<typeof grpc.Client, _kindred_v1_TasksClient> & { service: _kindred_v1_TasksDefinition }
      TrainAdapter: MessageTypeDefinition<_kindred_v1_TrainAdapter, _kindred_v1_TrainAdapter__Output>
      TrainResult: MessageTypeDefinition<_kindred_v1_TrainResult, _kindred_v1_TrainResult__Output>
      TrainingSpec: MessageTypeDefinition<_kindred_v1_TrainingSpec, _kindred_v1_TrainingSpec__Output>
      ValidationPoint: MessageTypeDefinition<_kindred_v1_ValidationPoint, _kindred_v1_ValidationPoint__Output>
      WeightedAdapter: MessageTypeDefinition<_kindred_v1_WeightedAdapter, _kindred_v1_WeightedAdapter__Output>
    }
  }
}

