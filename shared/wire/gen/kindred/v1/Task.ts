// Original file: proto/kindred/v1/tasks.proto

import type { SketchGradients as _kindred_v1_SketchGradients, SketchGradients__Output as _kindred_v1_SketchGradients__Output } from '../../kindred/v1/SketchGradients.js';
import type { TrainAdapter as _kindred_v1_TrainAdapter, TrainAdapter__Output as _kindred_v1_TrainAdapter__Output } from '../../kindred/v1/TrainAdapter.js';
import type { Evaluate as _kindred_v1_Evaluate, Evaluate__Output as _kindred_v1_Evaluate__Output } from '../../kindred/v1/Evaluate.js';
import type { FitWeights as _kindred_v1_FitWeights, FitWeights__Output as _kindred_v1_FitWeights__Output } from '../../kindred/v1/FitWeights.js';
import type { ReceiveEnsemble as _kindred_v1_ReceiveEnsemble, ReceiveEnsemble__Output as _kindred_v1_ReceiveEnsemble__Output } from '../../kindred/v1/ReceiveEnsemble.js';
import type { ListChoices as _kindred_v1_ListChoices, ListChoices__Output as _kindred_v1_ListChoices__Output } from '../../kindred/v1/ListChoices.js';

export interface Task {
  'taskId'?: (string);
  'sketchGradients'?: (_kindred_v1_SketchGradients | null);
  'trainAdapter'?: (_kindred_v1_TrainAdapter | null);
  'evaluate'?: (_kindred_v1_Evaluate | null);
  'fitWeights'?: (_kindred_v1_FitWeights | null);
  'receiveEnsemble'?: (_kindred_v1_ReceiveEnsemble | null);
  'listChoices'?: (_kindred_v1_ListChoices | null);
  'work'?: "sketchGradients"|"trainAdapter"|"evaluate"|"fitWeights"|"receiveEnsemble"|"listChoices";
}

export interface Task__Output {
  'taskId': (string);
  'sketchGradients'?: (_kindred_v1_SketchGradients__Output | null);
  'trainAdapter'?: (_kindred_v1_TrainAdapter__Output | null);
  'evaluate'?: (_kindred_v1_Evaluate__Output | null);
  'fitWeights'?: (_kindred_v1_FitWeights__Output | null);
  'receiveEnsemble'?: (_kindred_v1_ReceiveEnsemble__Output | null);
  'listChoices'?: (_kindred_v1_ListChoices__Output | null);
  'work'?: "sketchGradients"|"trainAdapter"|"evaluate"|"fitWeights"|"receiveEnsemble"|"listChoices";
}
