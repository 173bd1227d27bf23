// Original file: proto/kindred/v1/tasks.proto

import type { NoTask as _kindred_v1_NoTask, NoTask__Output as _kindred_v1_NoTask__Output } from '../../kindred/v1/NoTask.js';
import type { Task as _kindred_v1_Task, Task__Output as _kindred_v1_Task__Output } from '../../kindred/v1/Task.js';
import type { RunOver as _kindred_v1_RunOver, RunOver__Output as _kindred_v1_RunOver__Output } from '../../kindred/v1/RunOver.js';

export interface NextTaskReply {
  'none'?: (_kindred_v1_NoTask | null);
  'task'?: (_kindred_v1_Task | null);
  'over'?: (_kindred_v1_RunOver | null);
  'next'?: "none"|"task"|"over";
}

export interface NextTaskReply__Output {
  'none'?: (_kindred_v1_NoTask__Output | null);
  'task'?: (_kindred_v1_Task__Output | null);
  'over'?: (_kindred_v1_RunOver__Output | null);
  'next'?: "none"|"task"|"over";
}
