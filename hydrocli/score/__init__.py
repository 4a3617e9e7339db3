"""How good a discharge is: metrics, cost with its derivative, base flow, flood events, signatures."""
