// Original file: proto/kindred/v1/tasks.proto

import type { Cost as _kindred_v1_Cost, Cost__Output as _kindred_v1_Cost__Output } from '../../kindred/v1/Cost.js';
import type { SketchResult as _kindred_v1_SketchResult, SketchResult__Output as _kindred_v1_SketchResult__Output } from '../../kindred/v1/SketchResult.js';
import type { TrainResult as _kindred_v1_TrainResult, TrainResult__Output as _kindred_v1_TrainResult__Output } from '../../kindred/v1/TrainResult.js';
import type { EvaluateResult as _kindred_v1_EvaluateResult, EvaluateResult__Output as _kindred_v1_EvaluateResult__Output } from '../../kindred/v1/EvaluateResult.js';
import type { FitWeightsResult as _kindred_v1_FitWeightsResult, FitWeightsResult__Output as _kindred_v1_FitWeightsResult__Output } from '../../kindred/v1/FitWeightsResult.js';
import type { ReceiveEnsembleResult as _kindred_v1_ReceiveEnsembleResult, ReceiveEnsembleResult__Output as _kindred_v1_ReceiveEnsembleResult__Output } from '../../kindred/v1/ReceiveEnsembleResult.js';
import type { ListChoicesResult as _kindred_v1_ListChoicesResult, ListChoicesResult__Output as _kindred_v1_ListChoicesResult__Output } from '../../kindred/v1/ListChoicesResult.js';

export interface TaskResult {
  'taskId'?: (string);
  'cost'?: (_kindred_v1_Cost | null);
  'sketchGradients'?: (_kindred_v1_SketchResult | null);
  'trainAdapter'?: (_kindred_v1_TrainResult | null);
  'evaluate'?: (_kindred_v1_EvaluateResult | null);
  'fitWeights'?: (_kindred_v1_FitWeightsResult | null);
  'receiveEnsemble'?: (_kindred_v1_ReceiveEnsembleResult | null);
  'listChoices'?: (_kindred_v1_ListChoicesResult | null);
  'outcome'?: "sketchGradients"|"trainAdapter"|"evaluate"|"fitWeights"|"receiveEnsemble"|"listChoices";
}

export interface TaskResult__Output {
  'taskId': (string);
  'cost': (_kindred_v1_Cost__Output | null);
  'sketchGradients'?: (_kindred_v1_SketchResult__Output | null);
  'trainAdapter'?: (_kindred_v1_TrainResult__Output | null);
  'evaluate'?: (_kindred_v1_EvaluateResult__Output | null);
  'fitWeights'?: (_kindred_v1_FitWeightsResult__Output | null);
  'receiveEnsemble'?: (_kindred_v1_ReceiveEnsembleResult__Output | null);
  'listChoices'?: (_kindred_v1_ListChoicesResult__Output | null);
  'outcome'?: "sketchGradients"|"trainAdapter"|"evaluate"|"fitWeights"|"receiveEnsemble"|"listChoices";
}
