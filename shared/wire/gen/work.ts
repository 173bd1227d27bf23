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
import type { ReceiveEnsemble as _kindred_v1_ReceiveEnsemble, ReceiveEnsemble__Output as _kindred_v1_ReceiveEnsemble__Output } from './kindred/v1/ReceiveEnsemble.js';
import type { ReceiveEnsembleResult as _kindred_v1_ReceiveEnsembleResult, ReceiveEnsembleResult__Output as _kindred_v1_ReceiveEnsembleResult__Output } from './kindred/v1/ReceiveEnsembleResult.js';
import type { RowCounts as _kindred_v1_RowCounts, RowCounts__Output as _kindred_v1_RowCounts__Output } from './kindred/v1/RowCounts.js';
import type { Score as _kindred_v1_Score, Score__Output as _kindred_v1_Score__Output } from './kindred/v1/Score.js';
import type { SketchGradients as _kindred_v1_SketchGradients, SketchGradients__Output as _kindred_v1_SketchGradients__Output } from './kindred/v1/SketchGradients.js';
import type { SketchResult as _kindred_v1_SketchResult, SketchResult__Output as _kindred_v1_SketchResult__Output } from './kindred/v1/SketchResult.js';
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
      ReceiveEnsemble: MessageTypeDefinition<_kindred_v1_ReceiveEnsemble, _kindred_v1_ReceiveEnsemble__Output>
      ReceiveEnsembleResult: MessageTypeDefinition<_kindred_v1_ReceiveEnsembleResult, _kindred_v1_ReceiveEnsembleResult__Output>
      RowCounts: MessageTypeDefinition<_kindred_v1_RowCounts, _kindred_v1_RowCounts__Output>
      Score: MessageTypeDefinition<_kindred_v1_Score, _kindred_v1_Score__Output>
      SketchGradients: MessageTypeDefinition<_kindred_v1_SketchGradients, _kindred_v1_SketchGradients__Output>
      SketchResult: MessageTypeDefinition<_kindred_v1_SketchResult, _kindred_v1_SketchResult__Output>
      Split: EnumTypeDefinition
      TrainAdapter: MessageTypeDefinition<_kindred_v1_TrainAdapter, _kindred_v1_TrainAdapter__Output>
      TrainResult: MessageTypeDefinition<_kindred_v1_TrainResult, _kindred_v1_TrainResult__Output>
      TrainingSpec: MessageTypeDefinition<_kindred_v1_TrainingSpec, _kindred_v1_TrainingSpec__Output>
      ValidationPoint: MessageTypeDefinition<_kindred_v1_ValidationPoint, _kindred_v1_ValidationPoint__Output>
      WeightedAdapter: MessageTypeDefinition<_kindred_v1_WeightedAdapter, _kindred_v1_WeightedAdapter__Output>
    }
  }
}

