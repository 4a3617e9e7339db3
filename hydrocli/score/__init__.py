"""Evaluation of discharge: metrics, cost and its derivative, base flow, flood events, signatures."""
