import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { AnswerPrefixes as _kindred_v1_AnswerPrefixes, AnswerPrefixes__Output as _kindred_v1_AnswerPrefixes__Output } from './kindred/v1/AnswerPrefixes.js';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  kindred: {
    v1: {
      AnswerPrefixes: MessageTypeDefinition<_kindred_v1_AnswerPrefixes, _kindred_v1_AnswerPrefixes__Output>
    }
  }
}

